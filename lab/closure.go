package lab

// graph is which value is made from which: rules "head is known when all of
// body are". Values have names that both ends of a conversation give alike.
type graph struct {
	names map[name]int32
	heads []int32
	body  [][]int32
}

// name is what a value is: its role, and whose.
type name struct {
	role role
	of   key
	n    uint64
}

type role byte

const (
	rootKey     role = iota // of: the key itself
	chainKey                // of: the chain's MAC seed, n: the number it is at
	messageKey              // of: the chain's MAC seed, n: the number
	private                 // of: the public key
	agreement               // of: hash of both public keys
	oneTime                 // of: the device, n: the prekey's id
	kemKey                  // of: the device, n: the prekey's id
	capsule                 // of: the session
	secret                  // of: the session, what the handshake agrees on
	content                 // n: the letter
	senderKey               // of: the chain's id, n: the index it is at
	groupKey                // of: the chain's id, n: the index
	epochSecret             // of: the secret itself
	logEntry                // n: the entry
	epochKey                // of: the secret of an epoch itself
	braidKey                // of: the authentication key of an epoch itself
	drawn                   // of: hash of what a side drew for an epoch, a key's seed or the m of an answer
)

// lastRole is the last of them.
const lastRole = drawn

func newGraph() *graph { return &graph{names: map[name]int32{}} }

func (g *graph) node(n name) int32 {
	id, ok := g.names[n]
	if !ok {
		id = int32(len(g.names))
		g.names[n] = id
	}
	return id
}

// rule says that head is made from body.
func (g *graph) rule(head name, body ...name) {
	ids := make([]int32, len(body))
	for i, b := range body {
		ids[i] = g.node(b)
	}
	g.heads = append(g.heads, g.node(head))
	g.body = append(g.body, ids)
}

// index is the graph turned round: of each value, the rules it serves in.
type index struct {
	*graph
	first []int32 // of node i: uses[first[i]:first[i+1]]
	uses  []int32
}

func (g *graph) index() *index {
	x := &index{graph: g, first: make([]int32, len(g.names)+1)}
	for _, body := range g.body {
		for _, b := range body {
			x.first[b+1]++
		}
	}
	for i := 1; i < len(x.first); i++ {
		x.first[i] += x.first[i-1]
	}
	x.uses = make([]int32, x.first[len(x.first)-1])
	at := append([]int32(nil), x.first...)
	for r, body := range g.body {
		for _, b := range body {
			x.uses[at[b]] = int32(r)
			at[b]++
		}
	}
	return x
}

// close returns what follows from the values known. It is linear (R-LAB-11):
// each rule is looked at once for each of its premises.
func (x *index) close(known []name) []bool {
	have := make([]bool, len(x.names))
	missing := make([]int8, len(x.heads))
	for r, body := range x.body {
		missing[r] = int8(len(body))
	}
	var todo []int32
	add := func(n int32) {
		if !have[n] {
			have[n] = true
			todo = append(todo, n)
		}
	}
	for _, k := range known {
		if n, ok := x.names[k]; ok {
			add(n)
		}
	}
	for len(todo) > 0 {
		n := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		for _, r := range x.uses[x.first[n]:x.first[n+1]] {
			if missing[r]--; missing[r] == 0 {
				add(x.heads[r])
			}
		}
	}
	return have
}
