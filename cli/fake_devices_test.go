package cli_test

import (
	"context"
	"os"
	"strings"
	"time"

	"github.com/pawl-chat/pawl/client"
)

// The devices of the fake: a laptop, which is this one, and a phone.

func (f *fake) own() []client.Device {
	if f.devices == nil {
		f.devices = []client.Device{
			{ID: "00000000000000a1", Name: "laptop", Current: true, AddedAt: noon},
			{ID: "00000000000000a2", Name: "phone", AddedAt: noon.Add(time.Hour)},
		}
	}
	return f.devices
}

func (f *fake) Devices(context.Context) ([]client.Device, error) { return f.own(), f.fail["Devices"] }

func (f *fake) change(word, method string, do func(*client.Device)) (client.Device, error) {
	if err := f.fail[method]; err != nil {
		return client.Device{}, err
	}
	for i, d := range f.own() {
		if d.ID == word || d.Name == word {
			do(&f.devices[i])
			return f.devices[i], nil
		}
	}
	return client.Device{}, client.ErrUnknownDevice
}

func (f *fake) RenameDevice(_ context.Context, id, name string) (client.Device, error) {
	return f.change(id, "Devices", func(d *client.Device) { d.Name = name })
}

func (f *fake) RevokeDevice(_ context.Context, id string) (client.Device, error) {
	return f.change(id, "Devices", func(d *client.Device) { d.Revoked = true })
}

// parseLink takes pawl:link:HEX in either case.
func parseLink(uri string) (client.LinkOffer, error) {
	rest, ok := strings.CutPrefix(strings.ToLower(uri), "pawl:link:")
	switch {
	case !ok:
		return client.LinkOffer{}, client.ErrLinkInvalid
	case rest == "late":
		return client.LinkOffer{URI: uri, Code: "0000 0000", Expires: noon.AddDate(-10, 0, 0)}, nil
	case rest == "odd":
		return client.LinkOffer{URI: uri, Code: "12\x1b[2J34"}, nil
	}
	return client.LinkOffer{URI: uri, Code: "1234 5678"}, nil
}

func (f *fake) linked(ctx context.Context, method string, c client.Config, r client.LinkRequest) (client.API, error) {
	f.opened, f.link = append(f.opened, c), r
	if err := f.fail[method]; err != nil {
		return nil, err
	}
	r.Show(client.LinkOffer{URI: "pawl:link:0123", Code: "1234 5678", Expires: noon.Add(10 * time.Minute)})
	if err := ctx.Err(); err != nil {
		return nil, err // nobody could read it
	}
	return f, os.MkdirAll(c.Home, 0o700)
}

func (f *fake) Approve(_ context.Context, uri string, o client.ApproveOptions) (client.Device, error) {
	f.approved = o
	d := client.Device{ID: "00000000000000a3", Name: "desktop", AddedAt: noon}
	if o.History && f.given == nil {
		f.given = []client.HistoryGiven{{Device: d.ID, Messages: 3, Total: 3, Asked: noon, Done: true}}
	}
	return d, f.fail["Approve"]
}

func (f *fake) FetchHistory(ctx context.Context) error {
	if err := f.fail["FetchHistory"]; err != nil {
		return err
	}
	if f.offered.Total == 0 { // the other device is away
		<-ctx.Done()
		return ctx.Err()
	}
	f.offered.Messages, f.offered.Done = f.offered.Total, true
	return ctx.Err()
}
