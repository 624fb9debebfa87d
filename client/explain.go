package client

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Explanation is the life of one message in plain words (R-CLT-21).
type Explanation struct {
	Message Message
	Steps   []Step // in order of time as far as it is known
	// Cause says why it failed or could not be opened, and Next what to do
	// about it, both empty when nothing is wrong.
	Cause string
	Next  string
}

// Step is one thing that happened to a message.
type Step struct {
	At   time.Time // zero when it is not known
	What string
}

// Explain tells the life of a message from what is stored of it.
func Explain(m Message) Explanation {
	x := Explanation{Message: m}
	add := func(at time.Time, what string) { x.Steps = append(x.Steps, Step{at, what}) }
	if m.Direction == In {
		x.incoming(add)
	} else {
		x.outgoing(add)
	}
	if m.Expired {
		add(m.ExpiresAt, "its lifetime ended, and its content was erased")
	}
	slices.SortStableFunc(x.Steps, func(a, b Step) int { return a.At.Compare(b.At) })
	if m.Cause != "" {
		x.Cause, x.Next = ExplainCause(m.Cause)
	}
	if next := m.Repair.explain(); next != "" {
		x.Next = next
	}
	return x
}

func (x *Explanation) incoming(add func(time.Time, string)) {
	m := x.Message
	switch m.Kind {
	case KindNotice:
		add(m.ReceivedAt, "noticed here; it is no message of anybody's")
	case KindUndecryptable:
		add(m.SentAt, "taken by the server, as the server says")
		add(m.ReceivedAt, "arrived here and could not be opened")
	default:
		add(m.SentAt, "written, by the sender's clock")
		if m.RetoldBy != "" {
			add(m.ReceivedAt, "retold by "+m.RetoldBy+", who has let you in; that it was said, and by whom, is their word")
			return
		}
		add(m.ReceivedAt, "arrived here, was opened and stored")
		for _, c := range m.Sealed {
			add(c.At, fmt.Sprintf("opened in session %s with device %s, chain %d, message %d of it", c.Session, c.Device, c.Chain, c.Number))
		}
	}
}

func (x *Explanation) outgoing(add func(time.Time, string)) {
	m := x.Message
	add(m.SentAt, "written here")
	if m.To == m.From {
		add(m.SentAt, "kept here; a note to oneself goes nowhere")
		return
	}
	if !m.SealedAt.IsZero() {
		if m.Group != "" {
			add(m.SealedAt, fmt.Sprintf("sealed once, for %d devices of %d members", len(m.PerDevice), len(m.PerMember)))
		} else {
			add(m.SealedAt, fmt.Sprintf("sealed for each device of the recipient (%d)", len(m.PerDevice)))
		}
	}
	for _, c := range m.Sealed {
		whose := ""
		if c.Own {
			whose = "your "
		}
		add(c.At, fmt.Sprintf("sealed for %sdevice %s in session %s, chain %d, message %d of it", whose, c.Device, c.Session, c.Chain, c.Number))
	}
	if !m.AcceptedAt.IsZero() {
		add(m.AcceptedAt, "accepted: the server has stored it")
	}
	for device, s := range m.PerDevice {
		if s == StatusFailed && !m.AcceptedAt.IsZero() { // R-CLT-51
			add(m.AcceptedAt, "device "+device+" was left out, for its mailbox was full: it gets the message when it is back and asks for what it lacks")
		}
	}
	if !m.SentAgainAt.IsZero() {
		add(m.SentAgainAt, "sent again: a device of the recipient said that it could not open something")
	}
	for device, at := range m.Receipts {
		if !at.Delivered.IsZero() {
			add(at.Delivered, "delivered: device "+device+" says that it has stored it")
		}
		if !at.Read.IsZero() {
			add(at.Read, "read: device "+device+" says that it was shown there")
		}
	}
	switch m.Status {
	case StatusSending:
		x.Next = "it is in the outbox and leaves by itself with the next connection; do not send it again"
	case StatusAccepted:
		if x.Next = m.lackingMembers(); x.Next != "" {
			break
		}
		x.Next = "no device of the recipient has said that it has it: it may be switched off, or you are a stranger to its owner until they write to you"
	}
}

// lackingMembers says how many members of a group have not said that they have
// a message.
func (m *Message) lackingMembers() string {
	if m.Group == "" {
		return ""
	}
	n := 0
	for _, s := range m.PerMember {
		if !s.reached(StatusDelivered) {
			n++
		}
	}
	return fmt.Sprintf("%d of %d members have not said that a device of theirs has it: they may be switched off", n, len(m.PerMember))
}

// explain says what there is left to do about a message that could not be
// opened, and no more than is known (R-CLT-38).
func (s RepairState) explain() string {
	switch s {
	case RepairAsked:
		return "the device that sent it was asked to send it again and has not answered yet; there is nothing to do now"
	case RepairDone:
		return "it was sent again: look further down in the conversation"
	case RepairNothing:
		return "the device that sent it was asked, and had no text to send that is not here: it was no text, or its lifetime is over, or the server made it up"
	}
	return ""
}

// ExplainCause says in plain words what a Message.Cause means and what to do.
func ExplainCause(cause string) (what, next string) {
	const again = "`pawl message resend ID` makes a new message of it"
	switch cause {
	case CauseExpired:
		return "it waited in the outbox for too long without reaching the server", "check the connection with `pawl status`; " + again
	case CauseIdentityChanged:
		return "the recipient has another account key than the one that was pinned", "compare numbers with `pawl verify RECIPIENT`, accept them with --confirm, then " + again
	case CauseUnknown:
		return "the server knows nobody of that name any more", "ask the recipient for their address"
	case CauseDeviceList:
		return "the server shows a device list of the recipient that contradicts the one known here", "somebody may be lying about who their devices are; ask them, and tell the server's operator"
	case CauseNotMember:
		return "you are not a member of the group any more", "ask an admin of the group to add you"
	case CauseGroupForked:
		return "the members of the group were shown different rosters", "`pawl group show` says which changes differ; compare them with the others, and tell the server's operator"
	case CauseRefused:
		return "the server refused it", "the server's operator can say why; " + again
	case CauseLifetime:
		return "its lifetime ended before it could leave", "write it again with a longer --ttl"
	case CauseRestored:
		return "it was on its way when the backup was made that this device was restored from", "look whether the recipient has it; if not, " + again
	case CauseForged:
		return "it was altered on the way, or the server made it up", "ask the sender to send it again; if it happens often, tell the server's operator"
	case CauseReplayed:
		return "it is a copy of a first message that was answered before", "nothing is lost; the server, or somebody on the way, repeated it"
	case CauseTooOld:
		return "its key was erased before it came: it was under way for too long or far out of order", "ask the sender to send it again"
	case CauseTooFarAhead:
		return "more messages before it are missing than one session may skip", "ask the sender to send it again"
	case CauseRolledBack:
		return "the device that sent it has gone back to an older state of itself: it was restored from a copy", "ask its owner to relink that device"
	case CauseNoSession:
		return "it belongs to a session that this device does not have any more", "write to the sender, which starts a new session, and ask for it again"
	case CauseNoPrekey:
		return "it was sealed for a key that this device has used or erased", "write to the sender, which starts a new session, and ask for it again"
	case CauseUnknownDevice:
		return "it came from a device that is not in the sender's signed list", "ask the sender whether that device is theirs"
	}
	return "for a reason that this version does not know: " + cause, "a newer version of pawl may say more"
}

// Resend implements API: a new message with the text, subject, reply and
// lifetime of an own one that was sent or has failed (R-CLT-21).
func (c *Client) Resend(ctx context.Context, id string, o SendOptions) (Message, error) {
	m, err := c.Message(ctx, id)
	if err != nil {
		return Message{}, err
	}
	switch {
	case m.Direction != Out || m.Kind != KindText:
		return Message{}, fmt.Errorf("%w: it is not an own text", ErrCannotResend)
	case m.Expired:
		return Message{}, fmt.Errorf("%w: its lifetime is over and its content erased", ErrCannotResend)
	case m.Status == StatusSending:
		return Message{}, fmt.Errorf("%w: it is still in the outbox and leaves by itself", ErrCannotResend)
	}
	o.Subject, o.ReplyTo, o.Mentions = m.Subject, m.ReplyTo, m.Mentions
	if o.TTL == 0 && !m.ExpiresAt.IsZero() {
		o.TTL = m.ExpiresAt.Sub(m.SentAt)
	}
	return c.Send(ctx, m.To, m.Text, o)
}
