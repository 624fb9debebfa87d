package server

import (
	"container/list"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/pawl-chat/pawl/internal/relay"
)

// Rate is a token bucket: Burst at once, then one more Every so often. A
// negative Burst is no limit.
type Rate struct {
	Burst int
	Every time.Duration
}

// Limits are the limits that an operator may change; a zero field is its
// default (spec/limits.md).
type Limits struct {
	// Connects and Registrations are per network address: an IPv4 address or an
	// IPv6 /64.
	Connects, Registrations, Meets Rate
	// ConnectionsPerAddress and Connections bound connections at one time.
	ConnectionsPerAddress, Connections int
	// MeetingsPerAddress and Meetings bound the sides of meetings of devices that
	// link, at one time.
	MeetingsPerAddress, Meetings int
	// BundlePair is per requesting and target device, BundleTarget per target
	// device, BundleRequester per requesting account. All three refuse when
	// their table is full.
	BundlePair, BundleTarget, BundleRequester Rate
	// SendPair is messages per sending and receiving account, SendRequester per
	// sending account; SendBytes is bytes per receiving device.
	SendPair, SendRequester, SendBytes Rate
	// Lookups, ListChanges and Uploads are requests per account or device.
	Lookups, ListChanges, Uploads Rate
	// GroupCreates are groups per account, GroupAppends entries of groups' logs
	// and GroupLog their bytes.
	GroupCreates, GroupAppends, GroupLog Rate
	// GroupCopies is how many copies an account may have made for groups,
	// GroupBytes the bytes of them; GroupPair is messages to groups per sending
	// and receiving account.
	GroupCopies, GroupBytes, GroupPair Rate
	// CachedAudience is how many users and devices of groups' audiences are held.
	CachedAudience int
	// Buckets is how many buckets of one rate are held.
	Buckets int
	// CachedAccounts is how many decoded accounts are held.
	CachedAccounts int
}

func (l *Limits) defaults() {
	for _, d := range []struct {
		of    *Rate
		burst int
		every time.Duration
	}{
		{&l.Connects, 400, 50 * time.Millisecond},
		{&l.Registrations, 100, time.Second},
		{&l.Meets, 60, 5 * time.Second},
		{&l.BundlePair, 6, 10 * time.Minute},
		{&l.BundleTarget, 60, 20 * time.Second},
		{&l.BundleRequester, 1500, time.Second},
		{&l.SendPair, 3000, 100 * time.Millisecond},
		{&l.SendRequester, 4000, 20 * time.Millisecond},
		{&l.SendBytes, 128 << 20, 15 * time.Microsecond},
		{&l.Lookups, 600, time.Second},
		{&l.ListChanges, 30, time.Minute},
		{&l.Uploads, 30, time.Minute},
		{&l.GroupCreates, 20, 72 * time.Minute},
		{&l.GroupAppends, 300, 10 * time.Second},
		{&l.GroupLog, 8 << 20, 5 * time.Millisecond},
		{&l.GroupCopies, 400_000, 2 * time.Millisecond},
		{&l.GroupBytes, 1 << 30, time.Microsecond},
		{&l.GroupPair, 3000, 100 * time.Millisecond},
	} {
		if d.of.Burst == 0 {
			*d.of = Rate{d.burst, d.every}
		}
	}
	for _, d := range []struct {
		of *int
		n  int
	}{{&l.ConnectionsPerAddress, 4096}, {&l.Connections, 100_000}, {&l.MeetingsPerAddress, 32}, {&l.Meetings, 4096}, {&l.Buckets, 100_000}, {&l.CachedAccounts, 10_000}, {&l.CachedAudience, 1 << 18}} {
		if *d.of == 0 {
			*d.of = d.n
		}
	}
}

// limiters are the buckets of one server, in memory.
type limiters struct {
	connect, register  *buckets[string]
	meet               *buckets[string]
	bundlePair         *buckets[[2]Device]
	bundleTarget       *buckets[Device]
	bundleRequester    *buckets[string]
	sendPair           *buckets[[2]string]
	sendRequester      *buckets[string]
	sendBytes          *buckets[Device]
	lookup, listChange *buckets[string]
	upload             *buckets[Device]

	groupCreate, groupAppend, groupLog *buckets[string]
	groupCopies, groupBytes            *buckets[string]
	groupPair                          *buckets[[2]string]
}

func newLimiters(l Limits) *limiters {
	return &limiters{
		connect:         newBuckets[string](l.Connects, l.Buckets, false),
		register:        newBuckets[string](l.Registrations, l.Buckets, false),
		meet:            newBuckets[string](l.Meets, l.Buckets, false),
		bundlePair:      newBuckets[[2]Device](l.BundlePair, l.Buckets, true),
		bundleTarget:    newBuckets[Device](l.BundleTarget, l.Buckets, true),
		bundleRequester: newBuckets[string](l.BundleRequester, l.Buckets, true),
		sendPair:        newBuckets[[2]string](l.SendPair, l.Buckets, false),
		sendRequester:   newBuckets[string](l.SendRequester, l.Buckets, false),
		sendBytes:       newBuckets[Device](l.SendBytes, l.Buckets, false),
		lookup:          newBuckets[string](l.Lookups, l.Buckets, false),
		listChange:      newBuckets[string](l.ListChanges, l.Buckets, false),
		upload:          newBuckets[Device](l.Uploads, l.Buckets, false),
		groupCreate:     newBuckets[string](l.GroupCreates, l.Buckets, true),
		groupAppend:     newBuckets[string](l.GroupAppends, l.Buckets, true),
		groupLog:        newBuckets[string](l.GroupLog, l.Buckets, true),
		groupCopies:     newBuckets[string](l.GroupCopies, l.Buckets, false),
		groupBytes:      newBuckets[string](l.GroupBytes, l.Buckets, false),
		groupPair:       newBuckets[[2]string](l.GroupPair, l.Buckets, false),
	}
}

// buckets is a bounded table of token buckets, least recently used first out.
// A closed one never lets go of a bucket that is not full again, so that
// filling the table does not refill anybody's bucket; it refuses new keys
// instead (R-REL-13).
type buckets[K comparable] struct {
	rate   Rate
	size   int
	closed bool

	mu   sync.Mutex
	byK  map[K]*list.Element
	used list.List // of *bucket[K], most recent in front
}

type bucket[K comparable] struct {
	key K
	lim *rate.Limiter
}

func newBuckets[K comparable](r Rate, size int, closed bool) *buckets[K] {
	return &buckets[K]{rate: r, size: size, closed: closed, byK: make(map[K]*list.Element)}
}

// take takes n tokens of key's bucket, or none and refuses.
func (b *buckets[K]) take(key K, n int, now time.Time) error {
	if b.rate.Burst < 0 {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	e, ok := b.byK[key]
	if !ok {
		if len(b.byK) >= b.size && !b.evict(now) {
			return &relay.Error{Code: relay.RateLimited, RetryAfter: b.rate.Every}
		}
		e = b.used.PushFront(&bucket[K]{key, rate.NewLimiter(rate.Every(b.rate.Every), b.rate.Burst)})
		b.byK[key] = e
	} else {
		b.used.MoveToFront(e)
	}
	lim := e.Value.(*bucket[K]).lim
	if lim.AllowN(now, n) {
		return nil
	}
	lack := float64(n) - lim.TokensAt(now)
	return &relay.Error{Code: relay.RateLimited, RetryAfter: time.Duration(lack*float64(b.rate.Every)) + time.Millisecond}
}

// evict makes room for one bucket. b.mu is held.
func (b *buckets[K]) evict(now time.Time) bool {
	e := b.used.Back()
	oldest := e.Value.(*bucket[K])
	if b.closed && oldest.lim.TokensAt(now) < float64(b.rate.Burst) {
		return false
	}
	b.used.Remove(e)
	delete(b.byK, oldest.key)
	return true
}
