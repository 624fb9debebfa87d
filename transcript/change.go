package transcript

import (
	"strings"

	"github.com/pawl-chat/pawl/groups"
	"github.com/pawl-chat/pawl/internal/content"
	"github.com/pawl-chat/pawl/ratchet"
)

// Modify puts another text in the place of that of message i, counted from 0,
// and makes tag or signature fit (R-TRN-07). The cipher is a stream: what is
// changed in the ciphertext changes in the text. So old must be what the
// message says, or what Text claims of it when old is empty: a wrong guess gives
// a message that verifies as well and says something else. A shorter text is
// filled up with spaces; a longer one is ErrTextLong, for the length is seen on
// the wire. Texts with a subject, a reply, a lifetime or mentions stand
// elsewhere in their message and are not found.
func (t *Transcript) Modify(i int, old, text string) error {
	x, err := t.index()
	if err != nil {
		return err
	}
	if i < 0 || i >= len(t.Messages) {
		return ErrNoMessage
	}
	if old == "" {
		old = t.Messages[i].Text
	}
	if old == "" {
		return ErrText
	}
	if len(text) > len(old) {
		return ErrTextLong
	}
	r, err := t.Verify()
	if err != nil {
		return err
	}
	if r.Verdicts[i].State != Verified {
		return ErrNoKey
	}
	env := x.envs[i]
	env.Message = append([]byte(nil), env.Message...)
	body := ratchetBody
	if t.Kind == Group {
		body = groupBody
	}
	b, err := body(env.Message)
	at := content.TextOffset(len(old))
	if err != nil || at < 0 || at+len(old) > len(b) {
		return ErrText
	}
	text += strings.Repeat(" ", len(old)-len(text))
	for j := range len(old) {
		b[at+j] ^= old[j] ^ text[j]
	}
	if err := x.seal(i, env, r.Verdicts[i]); err != nil {
		return err
	}
	if t.Messages[i].Text != "" {
		t.Messages[i].Text = text
	}
	return nil
}

// ratchetBody is the body of a message, in place.
func ratchetBody(message []byte) ([]byte, error) {
	w, err := ratchet.ParseMessage(message)
	return w.Body, err
}

func groupBody(message []byte) ([]byte, error) {
	w, err := groups.ParseMessage(message)
	return w.Body, err
}

// Remac makes tag or signature of message i anew, whatever was done to it
// (R-TRN-08). Between two people the key is that of message like, which verifies
// and stands in the same chain, and number is where the message is to stand in
// it; in a group the message names both itself.
func (t *Transcript) Remac(i, like int, number uint32) error {
	x, err := t.index()
	if err != nil {
		return err
	}
	if i < 0 || i >= len(t.Messages) {
		return ErrNoMessage
	}
	if t.Kind == Group {
		return x.seal(i, x.envs[i], Verdict{})
	}
	if like < 0 || like >= len(t.Messages) {
		return ErrNoMessage
	}
	if x.direction(i) != x.direction(like) {
		return ErrNoKey
	}
	r, err := t.Verify()
	if err != nil {
		return err
	}
	v := r.Verdicts[like]
	if v.State != Verified {
		return ErrNoKey
	}
	v.Number = number
	return x.seal(i, x.envs[i], v)
}

// seal authenticates the message in env under the key of v and puts it in the
// place of message i.
func (x *index) seal(i int, env content.Envelope, v Verdict) (err error) {
	if x.Kind == Group {
		w, err := groups.ParseMessage(env.Message)
		if err != nil {
			return ErrMalformed
		}
		k, ok := x.chainKeys()[w.Chain]
		if !ok || k.sender != x.Parties[x.from[i].party].sender(x.from[i].device) {
			return ErrNoKey
		}
		if env.Message, err = groups.Resign(k.seed, k.key, k.sender, env.Message); err != nil {
			return ErrNoKey
		}
	} else {
		ad := x.bound(i, v.first)
		if env.Message, err = ratchet.Remac(v.Seed, v.Number, env.Message, ad[:]); err != nil {
			return ErrMalformed
		}
	}
	x.Messages[i].Envelope = env.Encode()
	return nil
}
