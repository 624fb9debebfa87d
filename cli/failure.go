package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"

	"github.com/pawl-chat/pawl/client"
	"github.com/pawl-chat/pawl/lab"
	"github.com/pawl-chat/pawl/server"
	"github.com/pawl-chat/pawl/spec"
	"github.com/pawl-chat/pawl/transcript"
)

// Exit codes (R-CLI-02). Scripts depend on them; they never change meaning.
const (
	exitDone        = 0
	exitUnexpected  = 1
	exitUsage       = 2   // usage, or a word that could mean several people
	exitUnreachable = 3   // server or network
	exitLocked      = 4   // not registered, revoked, or the store stays closed
	exitIdentity    = 5   // an identity changed or is not trusted
	exitRateLimited = 6   // asked to slow down, or no room at the recipient
	exitUnknown     = 7   // nobody of that name, no such group
	exitPartly      = 8   // some devices, recipients or lines failed
	exitTimeout     = 9   // the receipt asked for did not come in time
	exitInterrupted = 130 // SIGINT or SIGTERM
)

// ErrNoTerminal is returned by Env.ReadSecret when nobody could answer.
var ErrNoTerminal = errors.New("there is no terminal to ask on")

var (
	errUsage       = errors.New("usage")
	errStdout      = errors.New("standard output cannot be written")
	errPartly      = errors.New("partly done")
	errQueued      = errors.New("queued")
	errDemo        = errors.New("a claim of the demonstration does not hold")
	errInterrupted = errors.New("interrupted")
)

// class is one kind of failure: everything a script can react to.
type class struct {
	is        error
	code      string
	exit      int
	retryable bool
	hint      string
}

// classes is the one table from errors to codes (R-CLI-02, R-CLI-03). The
// first row that matches wins, so the more particular ones stand first.
func classes() []class {
	return []class{
		{errInterrupted, "interrupted", exitInterrupted, true, ""},
		{errUsage, "usage", exitUsage, false, ""},
		{errQueued, "queued", exitUnreachable, false, "nothing needs to be sent again: it leaves by itself with the next `pawl recv`, `pawl send` or `pawl recv --follow` that reaches the server"},
		{errPartly, "partly_done", exitPartly, false, "the objects printed say what was done; send again only what failed"},
		{client.ErrTimeout, "timeout", exitTimeout, false, "it is not lost and need not be sent again; `pawl message show ID` tells how far it has come"},
		{client.ErrServerIdentity, "server_identity", exitIdentity, false, "someone may be between you and the server, or its operator made a new key; ask the operator for a new invite link by another way before going on"},
		{client.ErrIdentityChanged, "identity_changed", exitIdentity, false, "compare safety numbers with `pawl verify RECIPIENT`, then accept the new identity with `pawl verify RECIPIENT --confirm`"},
		{client.ErrWrongPassphrase, "wrong_passphrase", exitLocked, false, "nothing was changed; check --passphrase-file, PAWL_PASSPHRASE_FILE or --key-file"},
		{client.ErrBackupPassphrase, "backup_passphrase", exitLocked, false, "nothing was changed; the backup has a passphrase of its own, see --backup-passphrase-file"},
		{client.ErrBackupNewer, "backup_newer", exitUnexpected, false, "use the version of pawl that wrote it, or a newer one"},
		{client.ErrBackupDamaged, "backup_damaged", exitUnexpected, false, "nothing was changed; try another copy of the file"},
		{client.ErrLocked, "locked", exitLocked, false, "give --passphrase-file F or --key-file F, set PAWL_PASSPHRASE_FILE, or run on a terminal"},
		{client.ErrRolledBack, "rolled_back", exitLocked, false, "nothing is sent, so that no key is used twice; `pawl device relink` goes on here as a new device, with the history kept"},
		{client.ErrInUse, "home_in_use", exitUnexpected, true, "end the other `pawl` that works on this home, such as `pawl recv --follow`, and try again"},
		{client.ErrRevoked, "revoked", exitLocked, false, "another device of this account removed this one; what is stored here stays readable. To come back, link again in another home: `pawl device link --home DIR`"},
		{client.ErrDeviceList, "device_list", exitIdentity, false, "the list held here stays; ask the owner of the account by another way which devices are theirs, and tell the server's operator"},
		{client.ErrNoAccountKey, "no_account_key", exitUsage, false, "run it on the device that holds the account key, which is the first one unless the account was restored; or take the account back with its recovery file"},
		{client.ErrUnknownDevice, "unknown_device", exitUsage, false, "`pawl device list` shows the devices; a name or the beginning of an id is enough if it means one device only"},
		{client.ErrTooManyDevices, "too_many_devices", exitUsage, false, "`pawl device revoke ID` removes one that is not used any more"},
		{client.ErrWords, "words_invalid", exitUsage, false, "write the 24 words in the order of the paper; the first four letters of each are enough"},
		{client.ErrLinkInvalid, "link_invalid", exitUsage, false, "quote the whole URI that `pawl device link` shows on the new device"},
		{client.ErrLinkExpired, "link_expired", exitUsage, true, "a link is good for ten minutes and for one device; run `pawl device link` on the new device again"},
		{client.ErrNotRegistered, "not_registered", exitLocked, false, "make an account with `pawl register NAME --invite LINK`, or choose another home with --home or PAWL_HOME"},
		{client.ErrGroupForked, "group_forked", exitIdentity, false, "`pawl group show '#NAME'` shows which changes differ; ask the other members by another way who belongs to the group, and say nothing in it that not all of them may read"},
		{client.ErrGroupChanged, "group_changed", exitUsage, true, "nothing was done; look at `pawl group show '#NAME'`, and say it again if it is still wanted"},
		{client.ErrUnknownGroup, "unknown_group", exitUnknown, false, "`pawl group list` shows the groups; " + quoteHint},
		{client.ErrNotMember, "not_a_member", exitUnknown, false, "what was said before stays readable; only its members can let you in again"},
		{client.ErrNotAllowed, "not_allowed", exitUsage, false, "its admins can; `pawl group show '#NAME'` says who they are, and `pawl group policy '#NAME'` what everybody may do"},
		{client.ErrGroupFull, "group_full", exitUsage, false, "remove members who have gone, or make a second group"},
		{client.ErrNothingToChange, "nothing_to_change", exitUsage, false, "it is so already"},
		{client.ErrGroupName, "group_name", exitUsage, false, "choose a shorter name, of one line, that says something"},
		{client.ErrGroupInvite, "group_invite", exitUsage, false, "quote the whole link that `pawl group invite` prints"},
		{client.ErrUnknownRecipient, "unknown_recipient", exitUnknown, false, "check the spelling; a full address is user@host, and `pawl contact list` shows whom you know"},
		{client.ErrRateLimited, "rate_limited", exitRateLimited, true, "wait a little and try again"},
		{client.ErrMailboxFull, "mailbox_full", exitRateLimited, true, "the recipient has to fetch messages first"},
		{client.ErrTooLong, "text_too_long", exitUsage, false, "split the text, for example with --lines"},
		{client.ErrInvalidText, "text_invalid", exitUsage, false, "convert the text to UTF-8 first, for example with iconv"},
		{client.ErrNameTaken, "name_taken", exitUsage, false, "choose another name"},
		{client.ErrInvite, "invite_invalid", exitUsage, false, "invite links live for 24 hours; ask for a new one and quote it whole"},
		{client.ErrAlreadyHere, "already_registered", exitUsage, false, "`pawl status` shows it; use --home or PAWL_HOME for a second account"},
		{client.ErrNotFound, "message_not_found", exitUsage, false, "`pawl history RECIPIENT --json` shows the ids"},
		{client.ErrCannotResend, "cannot_resend", exitUsage, false, "`pawl explain ID` says how far it has come"},
		{client.ErrStoreDamaged, "store_damaged", exitUnexpected, false, "leave the home as it is and copy it before anything else"},
		{client.ErrDiskFull, "disk_full", exitUnexpected, true, "make room and try again; nothing was lost"},
		{client.ErrClock, "clock", exitUnexpected, true, "set this machine's clock, for example by NTP"},
		{client.ErrRefused, "refused", exitUnexpected, false, "the server's operator can say why"},
		{client.ErrUnreachable, "server_unreachable", exitUnreachable, true, "check the network and that the server runs; `pawl status` says when it was last reached"},
		{server.ErrInUse, "in_use", exitUnexpected, true, "another `pawl serve` runs on that directory"},
		{server.ErrDamaged, "store_damaged", exitUnexpected, false, "leave the directory as it is and copy it before anything else"},
		{server.ErrNewer, "store_newer", exitUnexpected, false, "use the version of pawl that wrote it, or a newer one"},
		{server.ErrDiskFull, "disk_full", exitUnexpected, true, "make room and start again"},
		{syscall.ENOSPC, "disk_full", exitUnexpected, true, "make room and try again; nothing was lost"},
		{syscall.EADDRINUSE, "address_in_use", exitUnexpected, true, "another program answers there; choose another port with --listen"},
		{errStdout, "output", exitUnexpected, true, "nothing that was not printed counts as read; it comes again"},
		{client.ErrNotRecorded, "not_recorded", exitUsage, false, "`pawl transcript record RECIPIENT on` keeps what goes over the wire from then on"},
		{client.ErrCannotEdit, "cannot_edit", exitUsage, false, "`pawl message show ID` shows the message; only texts that are not on their way can be edited"},
		{client.ErrNotSigned, "not_signed", exitUsage, false, "only messages that were sent with --sign can be proven, and only as they were signed"},
		{client.ErrNotProof, "proof_malformed", exitUnexpected, false, "try another copy of the file"},
		{client.ErrProofNewer, "proof_newer", exitUnexpected, false, "use the version of pawl that wrote it, or a newer one"},
		{client.ErrProofFails, "proof_fails", exitIdentity, false, "it proves nothing of what it says; ask whoever gave it to you"},
		{errTranscript, "transcript_bad", exitUnexpected, false, "the objects printed say which; `pawl transcript remac` makes them hold"},
		{transcript.ErrVersion, "transcript_newer", exitUnexpected, false, "use the version of pawl that wrote it, or a newer one"},
		{transcript.ErrMalformed, "transcript_malformed", exitUnexpected, false, "try another copy of the file"},
		{transcript.ErrParty, "transcript_malformed", exitUnexpected, false, "try another copy of the file"},
		{transcript.ErrLimit, "transcript_too_large", exitUnexpected, false, "spec/limits.md says how much a transcript holds"},
		{transcript.ErrNoMessage, "no_such_number", exitUsage, false, "`pawl transcript verify FILE` lists the messages"},
		{transcript.ErrNoKey, "no_key", exitUsage, false, "`pawl transcript verify FILE` shows the messages of which a key was disclosed"},
		{transcript.ErrTextLong, "text_unknown", exitUsage, false, "choose a shorter text: lengths are seen on the wire"},
		{transcript.ErrText, "text_unknown", exitUsage, false, "say with --old what the message says; texts with a subject, a reply, mentions or a lifetime are not found"},
		{transcript.ErrLines, "usage", exitUsage, false, ""},
		{errLab, "lab", exitUnexpected, false, "the objects printed say what was found; a scenario of your own may expect what does not hold"},
		{errVectors, "lab", exitUnexpected, false, "the objects printed say what differs; if pawl is wrong, please report it with the vector"},
		{spec.ErrVectors, "vectors_invalid", exitUsage, false, "`pawl lab vectors export` writes some to compare with; vectors/README.md in them describes the form"},
		{lab.ErrFault, "lab", exitUnexpected, false, "this is a defect of pawl; please report it with the scenario"},
		{lab.ErrTrace, "trace_invalid", exitUsage, false, "write it again with `pawl lab run --trace`; spec/lab.md describes it"},
		{lab.ErrJudgement, "lab", exitUnexpected, false, "the objects printed say what was found now; the trace was made up, or judged by another version of pawl"},
		{lab.ErrScenario, "scenario_invalid", exitUsage, false, "`pawl lab show state-theft` prints one to start from; spec/lab.md has every action and key"},
		{errDemo, "demo", exitUnexpected, false, "this is a defect of pawl; please report it with the output of `pawl demo --json`"},
		{errDrill, "drill", exitUnexpected, false, "this is a defect of pawl; please report it with the output of `pawl security drill --json`, which has no secrets in it"},
		{fs.ErrPermission, "permission", exitUnexpected, false, "check who owns the directory and its mode"},
	}
}

// failure is an error on its way to the person: what, and what to do.
type failure struct {
	err       error // decides the class
	message   string
	hint      string // instead of the class's
	messageID string // the message it is about
	kept      bool   // that message is in the outbox: repeating would send it twice
}

func (f *failure) Error() string { return f.message }
func (f *failure) Unwrap() error { return f.err }

// usagef is a mistake in the words of the command.
func usagef(hint, format string, args ...any) error {
	return &failure{err: errUsage, message: fmt.Sprintf(format, args...), hint: hint}
}

// tidy makes one sentence of a chain of errors: without the names of packages
// and without saying a thing twice.
func tidy(message string) string {
	var parts []string
	for part := range strings.SplitSeq(strings.Join(strings.Fields(message), " "), ": ") {
		switch part {
		case "client", "relay", "relayclient", "server", "sqlitestore", "vault", "owner", "cli", "content", "devicelist", "backup", "lab", "spec", "transcript", "proof":
			continue
		}
		if !slices.Contains(parts, part) {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ": ")
}

// describe turns any error into the object that is printed and the exit code.
func describe(ctx context.Context, err error) (errorObject, int) {
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = errInterrupted
	}
	o := errorObject{header: head("error"), Code: "unexpected", Message: tidy(err.Error())}
	o.Hint = "run it again with --verbose to see more"
	exit := exitUnexpected
	for _, c := range classes() {
		if errors.Is(err, c.is) {
			o.Code, o.Retryable, o.Hint, exit = c.code, c.retryable, c.hint, c.exit
			break
		}
	}
	// What is invalid may be a name or a lifetime as well as a text.
	if rest, ok := strings.CutPrefix(o.Message, client.ErrInvalidText.Error()+": "); ok && o.Code == "text_invalid" {
		o.Code, o.Message, o.Hint = "usage", rest, ""
	}
	var ambiguous *client.AmbiguousError
	if errors.As(err, &ambiguous) {
		o.Code, o.Retryable, exit = "ambiguous", false, exitUsage
		o.Hint = "use one of the full addresses"
		o.Candidates = ambiguous.Candidates
		if len(o.Candidates) > 0 && isGroup(o.Candidates[0]) {
			o.Message, o.Hint = "that could be more than one group", "use one of the ids, in quotes; `pawl group list` tells them apart"
		}
	}
	var f *failure
	if errors.As(err, &f) {
		if f.hint != "" {
			o.Hint = f.hint
		}
		o.MessageID = f.messageID
		if f.kept {
			o.Retryable = false
		}
	}
	o.Exit = exit
	return o, exit
}
