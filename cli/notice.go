package cli

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/pawl-chat/pawl/client"
)

// alarming reports whether a notice may mean that somebody interferes, so that
// a person has to look at it (R-CLI-19).
func alarming(notice string) bool {
	switch notice {
	case client.NoticeIdentityChanged, client.NoticeAccountRecovered, client.NoticeListForked, client.NoticeListRolledBack,
		client.NoticeGroupForked, client.NoticeGroupRollback:
		return true
	}
	return false
}

// noticeText says in words what an event object says to programs. It is clean.
func (a *app) noticeText(m client.Message) string {
	if groupIn(m) != "" {
		return a.groupNotice(m)
	}
	peer, device := clean(m.Conversation), ""
	if word := about(m); word != "" {
		device = " " + clean(word)
	}
	own := m.Conversation == m.To // the notices of one's own account
	whose := func(theirs, ours string) string {
		if own {
			return ours
		}
		return fmt.Sprintf(theirs, peer)
	}
	account := whose("the account %s", "this account")
	switch m.Notice {
	case client.NoticeIdentityChanged:
		return fmt.Sprintf("the identity of %s has changed; compare safety numbers with `pawl verify %s` before you go on", peer, peer)
	case client.NoticeSessionReset:
		return fmt.Sprintf("a new session with %s was started; messages that were under way may be lost", peer)
	case client.NoticeLastResort:
		return fmt.Sprintf("the first message to %s found no one-time key of theirs; it is protected by keys that their device keeps for weeks", peer)
	case client.NoticeDeviceAdded:
		return account + " has a new device" + named(device) + "; messages go to it from now on"
	case client.NoticeDeviceRevoked:
		return account + " has removed its device" + device + "; nothing is sealed for it any more"
	case client.NoticeDeviceRenamed:
		return account + " has renamed a device" + named(device)
	case client.NoticeAccountRecovered:
		return account + " was taken back with its account key: every earlier device was removed and a new one added" + named(device) + "; " +
			whose("ask by another way whether that was %s", "if that was not you, somebody has your recovery file or words")
	case client.NoticeListForked:
		return "the server has shown a device list of " + account + " that contradicts the one held here, which stays; the server may be telling people different things"
	case client.NoticeListRolledBack:
		return "the server has shown an older device list of " + account + " than the one held here, which stays; it may be hiding a removed or a new device"
	case client.NoticeRelinked:
		return "this home goes on as a new device" + named(device) + "; what came for the old one after the copy was made is not here"
	case client.NoticeBadSignature:
		return "a message of " + peer + " came with a signature that does not hold; it is shown as one without"
	case client.NoticeMessagesMissing:
		if counted(m) == 1 {
			return "up to 1 message of " + peer + " has not come, though later ones have; pawl asks for it again if it can"
		}
		if counted(m) > 0 { // a heartbeat or a receipt leaves the same gap as a text
			return "up to " + messagesOf(m, peer) + " have not come, though later ones have; pawl asks for them again if it can"
		}
		return messagesOf(m, peer) + " were sent and have not come; pawl asks for them again if it can"
	case client.NoticeMessagesRecovered:
		if counted(m) == 1 {
			return "1 message of " + peer + " that was missing has come"
		}
		return messagesOf(m, peer) + " that were missing have come"
	}
	return peer + ": " + clean(strings.ReplaceAll(m.Notice, "_", " ")) + named(device)
}

// counted is how many messages a notice is about; 0 when it does not say.
func counted(m client.Message) int64 {
	switch m.Notice {
	case client.NoticeMessagesMissing, client.NoticeMessagesRecovered:
		n, _ := strconv.ParseInt(m.Text, 10, 64)
		return max(n, 0)
	}
	return 0
}

func messagesOf(m client.Message, peer string) string {
	if n := counted(m); n > 0 {
		return strconv.FormatInt(n, 10) + " messages of " + peer
	}
	return "messages of " + peer
}

// about is the device that a notice is about.
func about(m client.Message) string {
	if groupIn(m) != "" {
		return ""
	}
	switch m.Notice {
	case client.NoticeMessagesMissing, client.NoticeMessagesRecovered:
		return ""
	}
	return m.Text
}

func named(device string) string {
	if device == "" {
		return ""
	}
	return " (" + device[1:] + ")"
}

// printNotice says a notice on standard error: what may be trouble as a
// warning, the rest plainly. --quiet silences neither.
func (a *app) printNotice(m client.Message) {
	switch m.Notice {
	case client.NoticeDeviceAdded, client.NoticeDeviceRevoked, client.NoticeDeviceRenamed, client.NoticeMessagesRecovered,
		client.NoticeRelinked, client.NoticeGroupCreated, client.NoticeGroupAdded, client.NoticeGroupRemoved, client.NoticeGroupLeft,
		client.NoticeGroupRole, client.NoticeGroupRenamed, client.NoticeGroupPolicy, client.NoticeGroupRekeyed, client.NoticeGroupJoinAsk:
		fmt.Fprintf(a.env.Stderr, "pawl: %s\n", a.noticeText(m))
	default:
		a.out.warn("%s", a.noticeText(m))
	}
}
