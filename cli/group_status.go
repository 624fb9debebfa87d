package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pawl-chat/pawl/client"
)

// statusText is how far a message has come. Of one to a group it counts the
// members, each claim for itself (R-CLI-36).
func statusText(m client.Message) string {
	delivered, read, failed := 0, 0, 0
	for _, s := range m.PerMember {
		switch s {
		case client.StatusRead:
			read++
			delivered++ // it could not be shown where it had not arrived
		case client.StatusDelivered:
			delivered++
		case client.StatusFailed:
			failed++
		}
	}
	var parts []string
	if read > 0 {
		parts = append(parts, fmt.Sprintf("read by %d of %d", read, len(m.PerMember)))
	}
	if delivered > read {
		parts = append(parts, fmt.Sprintf("delivered to %d of %d", delivered, len(m.PerMember)))
	}
	if len(parts) == 0 {
		parts = append(parts, clean(string(m.Status)))
	}
	if failed > 0 && m.Status != client.StatusFailed {
		parts = append(parts, fmt.Sprintf("failed for %d", failed))
	}
	return strings.Join(parts, ", ")
}

// reachObject is how far a message has come with one member, device by device.
type reachObject struct {
	Address string            `json:"address" doc:"the member; empty for devices that belong to no member any more"`
	Status  string            `json:"status" doc:"as in the message object: the furthest of the devices; empty when it is not known"`
	Devices map[string]string `json:"devices" doc:"status by device"`
}

// memberReach adds what the devices are called.
type memberReach struct {
	reachObject
	names map[string]string
}

// reached tells how far an own message to a group has come with each member.
func (a *app) reached(ctx context.Context, api client.API, m client.Message) (list []memberReach) {
	id := groupIn(m)
	if id == "" || m.Direction != client.Out {
		return nil
	}
	g, _ := api.Group(ctx, id) // without it the devices have no owners
	owner, name := map[string]string{}, map[string]string{}
	for _, member := range g.Members {
		for _, d := range member.Devices {
			owner[d.ID], name[d.ID] = member.Address, d.Name
		}
	}
	row := map[string]*memberReach{}
	at := func(address string) *memberReach {
		if row[address] == nil {
			row[address] = &memberReach{reachObject{address, string(m.PerMember[address]), map[string]string{}}, name}
		}
		return row[address]
	}
	for address := range m.PerMember {
		at(address)
	}
	for device, s := range m.PerDevice {
		at(owner[device]).Devices[device] = string(s)
	}
	for _, address := range sortedKeys(row) {
		list = append(list, *row[address])
	}
	// Those that belong to nobody come last.
	slices.SortStableFunc(list, func(x, y memberReach) int {
		return min(1, len(y.Address)) - min(1, len(x.Address))
	})
	return list
}

// reachedText is one line for each member and one for each device.
func (a *app) reachedText(m client.Message, list []memberReach) string {
	var b strings.Builder
	for _, r := range list {
		who := clean(r.Address)
		if who == "" {
			who = "no member any more"
		}
		b.WriteString("  " + strings.TrimRight(who+"  "+clean(r.Status), " ") + "\n")
		for _, d := range sortedKeys(r.Devices) {
			b.WriteString("      " + a.deviceReached(m, d, r.names[d]) + "\n")
		}
	}
	return b.String()
}

// deviceReached says how far a message has come with one device, and when.
func (a *app) deviceReached(m client.Message, device, name string) string {
	line := "device " + deviceText(device, name) + "  " + clean(string(m.PerDevice[device]))
	if at := m.Receipts[device]; !at.Read.IsZero() {
		line += "  " + a.when(at.Read)
	} else if !at.Delivered.IsZero() {
		line += "  " + a.when(at.Delivered)
	}
	return line
}
