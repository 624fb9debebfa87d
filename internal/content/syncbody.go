package content

import (
	"time"

	"github.com/pawl-chat/pawl/internal/address"
	"github.com/pawl-chat/pawl/internal/codec"
)

// decodeSync reads the body of KindSync (R-CNT-10). A single key that is not
// known gives a Sync with nothing set: a later version says something that
// this one does not understand, and Content.Body keeps it.
func decodeSync(body []byte) (s Sync, err error) {
	var keys map[uint64]codec.Raw
	if err := codec.Unmarshal(body, MaxSync, &keys); err != nil || len(keys) != 1 {
		return Sync{}, ErrMalformed
	}
	for k := range keys {
		if k == 0 || k > lastSyncKey {
			return Sync{}, nil
		}
	}
	var b syncBody
	if err := codec.Unmarshal(body, MaxSync, &b); err != nil {
		return Sync{}, ErrMalformed
	}
	switch {
	case b.Sent != nil:
		s.Sent, err = b.Sent.sent()
	case b.Read != nil:
		s.Read, err = decodeIDs(b.Read.IDs)
	case b.Contact != nil:
		s.Contact, err = b.Contact.mark()
	case b.Claims != nil:
		s.Claims, err = b.Claims.claims()
	case b.Ask != nil:
		s.Ask, err = b.Ask.ask()
	case b.Page != nil:
		s.Page, err = b.Page.page()
	case b.Refresh != nil:
		s.Refresh = true
	default:
		err = ErrMalformed
	}
	if err != nil {
		return Sync{}, err
	}
	return s, nil
}

// sent holds R-CNT-11, but for the content inside, which Open decodes.
func (b *sentBody) sent() (*Sent, error) {
	if _, err := address.ParseCanonical(b.To); err != nil || len(b.Content) == 0 || len(b.Devices) > MaxSentDevices {
		return nil, ErrMalformed
	}
	if len(b.Content) > MaxContent {
		return nil, ErrTooLong
	}
	s := &Sent{To: b.To, Content: b.Content}
	seen := map[uint64]bool{0: true} // no device is zero
	for _, d := range b.Devices {
		if seen[d] {
			return nil, ErrMalformed
		}
		seen[d] = true
		s.Devices = append(s.Devices, address.Device(d))
	}
	return s, nil
}

// mark holds R-CNT-13.
func (b *contactBody) mark() (*ContactMark, error) {
	_, err := address.ParseCanonical(b.Address)
	if err != nil || len(b.Account) != len(ContactMark{}.Account) || len(b.Alias) > MaxAlias || b.At > maxSentAt {
		return nil, ErrMalformed
	}
	return &ContactMark{
		Address: b.Address, Account: [32]byte(b.Account), Alias: b.Alias, Verified: b.Verified, Known: b.Known,
		Removed: b.Removed, At: time.UnixMilli(int64(b.At)).UTC(),
	}, nil
}

// claims holds R-CNT-12.
func (b *claimsBody) claims() (*Claims, error) {
	_, err := address.ParseCanonical(b.Peer)
	state := ReceiptState(b.State)
	if err != nil || b.Device == 0 || state != Delivered && state != Read {
		return nil, ErrMalformed
	}
	ids, err := decodeIDs(b.IDs)
	if err != nil {
		return nil, err
	}
	return &Claims{Peer: b.Peer, Device: address.Device(b.Device), State: state, IDs: ids}, nil
}

// ask and page hold R-CNT-14.
func (b *askBody) ask() (*HistoryAsk, error) {
	if b.Limit == 0 || b.Limit > MaxPageEntries {
		return nil, ErrMalformed
	}
	return &HistoryAsk{From: b.From, Limit: b.Limit}, nil
}

func (b *pageBody) page() (*HistoryPage, error) {
	if len(b.Entries) > MaxPageEntries || (b.Next != 0 && b.Next <= b.From) ||
		(b.Refused && (b.Next != 0 || b.Total != 0 || len(b.Entries) != 0)) {
		return nil, ErrMalformed
	}
	size := 0
	for _, e := range b.Entries {
		if len(e) == 0 {
			return nil, ErrMalformed
		}
		size += len(e)
	}
	if size > MaxPageBytes {
		return nil, ErrTooLong
	}
	return &HistoryPage{From: b.From, Next: b.Next, Total: b.Total, Entries: b.Entries, Refused: b.Refused}, nil
}
