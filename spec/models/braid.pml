/* The exchange of spec/braid.md, without its cryptography. README.md says what
 * is checked, what is not, and how to run it.
 *
 * A draw (of a key, or of the m of an answer) is a small number; a chunk is the
 * draw that it belongs to. A part is whole when NEED chunks of it are there; one
 * gathered from several draws is MIXED, and its MAC or hash does not hold. What
 * a side holds is durable state: a step computes the next state, makes it durable
 * and lets the piece go, and a crash may come in between.
 */
#ifndef EPOCHS
#define EPOCHS 3       /* the model ends when both sides are in this epoch */
#endif
#ifndef CRASHES
#define CRASHES 2
#endif
#ifndef NEED
#define NEED 2
#endif

#define REST   0
#define OFFER  1
#define LISTEN 2
#define ANSWER 3
#define DONE   4

#define MIXED  15
#define FIRST  1
#define SECOND 2

typedef Side {
	byte epoch; byte turn;
	byte mine;              /* drawn in this epoch: a key, or an m */
	byte peer;              /* who answers: the draw of the header */
	byte held;              /* the peer's status, as last heard */
	byte got1; byte of1;    /* chunks of the first part, and their draw */
	byte got2; byte of2;
	byte yield[EPOCHS+1];    /* by epoch: what it yielded, a key and an m */
	byte draws              /* so that each draw is another one */
};

Side s[2];
byte crashes = 0;
byte faults = 0;

/* epoch, status, draw of a chunk of the first part, of the second; 0 is none */
chan wire[2] = [2] of { byte, byte, byte, byte };

#define both(m, k) ((m) * 4 + (k))
#define status(w) ((s[w].turn == DONE) -> (FIRST | SECOND) : \
	((s[w].turn == LISTEN && s[w].got1 < NEED) -> 0 : \
	((s[w].got1 >= NEED) -> FIRST : 0) | ((s[w].got2 >= NEED) -> SECOND : 0)))

inline begin(w, number) {
	s[w].epoch = number; s[w].draws = 0; s[w].mine = 0; s[w].peer = 0; s[w].held = 0;
	s[w].got1 = 0; s[w].of1 = 0; s[w].got2 = 0; s[w].of2 = 0;
	if
	:: (number % 2 == 1) == (w == 0) -> s[w].turn = REST
	:: else -> s[w].turn = LISTEN
	fi
}

/* agree: what an epoch yields is the same on both sides, and once (R-BRD-05). */
inline agree(w, what) {
	assert(s[w].yield[s[w].epoch] == 0);
	s[w].yield[s[w].epoch] = what;
	assert(s[1-w].yield[s[w].epoch] == 0 || s[1-w].yield[s[w].epoch] == what)
}

/* chunks that the next piece carries */
inline fill(w) {
	c1 = 0; c2 = 0;
	if
	:: s[w].turn == OFFER -> c1 = s[w].mine; c2 = s[w].mine
	:: s[w].turn == ANSWER -> c1 = both(s[w].mine, s[w].peer)
	:: s[w].turn == DONE -> c1 = both(s[w].mine, s[w].peer); c2 = c1
	:: else -> skip
	fi;
	if :: s[w].held & FIRST -> c1 = 0 :: else -> skip fi;
	if :: s[w].held & SECOND -> c2 = 0 :: else -> skip fi
}

/* the next state of a side that sends (R-BRD-13) */
inline next(w) {
	if
	:: s[w].turn == REST -> s[w].draws++; s[w].mine = s[w].draws; s[w].turn = OFFER
	:: s[w].turn == LISTEN && s[w].got1 >= NEED ->
		s[w].draws++; s[w].mine = s[w].draws; s[w].peer = s[w].of1; s[w].turn = ANSWER
	:: else -> skip
	fi;
	if
	:: s[w].turn == ANSWER && s[w].got2 >= NEED ->
		agree(w, both(s[w].mine, s[w].peer)); s[w].turn = DONE
	:: else -> skip
	fi
}

/* a piece that does not fit on the wire is lost */
inline emit(w) {
	if
	:: nfull(wire[w]) -> wire[w]!e, st, c1, c2
	:: full(wire[w]) -> skip
	fi
}

inline gather(num, src, chk) {
	if
	:: chk == 0 || num >= NEED -> skip
	:: else ->
		if
		:: num++; src = ((src == 0 || src == chk) -> chk : MIXED)
#ifndef LIVE
		:: skip        /* an index that is there already */
#endif
		fi
	fi
}

inline receive(w) {
	if
	:: e < s[w].epoch -> skip
	:: else ->
		if
		:: s[w].turn == DONE && e == s[w].epoch + 1 -> begin(w, e)
		:: else -> skip
		fi;
		/* nobody sees an epoch that the peer cannot be in (R-BRD-12) */
		assert(e == s[w].epoch);
		assert(!(s[w].turn == REST && (st | c1 | c2) != 0));
		assert(!(s[w].turn == LISTEN && st != 0 && !tampered));
		if
		:: s[w].turn == OFFER ->
			s[w].held = st;
			gather(s[w].got1, s[w].of1, c1); gather(s[w].got2, s[w].of2, c2);
			if
			:: s[w].got1 >= NEED && s[w].got2 >= NEED ->
				if
				:: s[w].of1 == s[w].of2 && s[w].of1 != MIXED && s[w].of1 % 4 == s[w].mine && s[w].of1 > 3 ->
					agree(w, s[w].of1); e = s[w].epoch + 1; begin(w, e)
				:: else -> s[w].got1 = 0; s[w].of1 = 0; s[w].got2 = 0; s[w].of2 = 0
				fi
			:: else -> skip
			fi
		:: s[w].turn == LISTEN || s[w].turn == ANSWER ->
			if :: s[w].turn == ANSWER -> s[w].held = st; c1 = 0 :: else -> skip fi;
			gather(s[w].got1, s[w].of1, c1); gather(s[w].got2, s[w].of2, c2);
			if
			:: s[w].got1 >= NEED && (s[w].of1 == MIXED || s[w].of1 > 3) -> s[w].got1 = 0; s[w].of1 = 0
			:: else -> skip
			fi;
			if
			:: s[w].got1 >= NEED && s[w].got2 >= NEED && s[w].of2 != s[w].of1 -> s[w].got2 = 0; s[w].of2 = 0
			:: else -> skip
			fi
		:: s[w].turn == DONE -> s[w].held = st
		:: else -> skip
		fi
	fi
}

/* undo forgets a draw: what a crash does before the next state is durable. The
 * other fields that next changes follow from what is there. */
inline remember(w) { olddraws = s[w].draws; oldturn = s[w].turn; oldmine = s[w].mine; oldpeer = s[w].peer; oldyield = s[w].yield[s[w].epoch] }
inline undo(w) { s[w].turn = oldturn; s[w].mine = oldmine; s[w].peer = oldpeer; s[w].yield[s[w].epoch] = oldyield }

#define over (s[0].epoch == EPOCHS && s[1].epoch == EPOCHS)
#ifdef LIVE
#define may_send(w) nfull(wire[w])
#else
#define may_send(w) true
#endif

proctype sends(byte w) {
	byte e, st, c1, c2, oldturn, oldmine, oldpeer, oldyield, olddraws;
end:
	do
	:: over -> break
	:: atomic {
		s[w].epoch < EPOCHS && may_send(w) ->
		remember(w);
		next(w); e = s[w].epoch; st = status(w); fill(w);
		if
		:: skip
		:: crashes < CRASHES -> crashes++;
#ifdef EMIT_FIRST
			emit(w);       /* the piece is out, and the state that made it is lost */
			undo(w)
#else
			undo(w);
			s[w].draws = olddraws  /* nobody saw it: as if never drawn */
#endif
			; e = 0
		:: crashes < CRASHES -> crashes++; e = 0 /* durable, and the piece never left */
		fi;
		if :: e != 0 -> emit(w) :: else -> skip fi;
		e = 0; st = 0; c1 = 0; c2 = 0; oldturn = 0; oldmine = 0; oldpeer = 0; oldyield = 0; olddraws = 0
	   }
	:: atomic { s[w].epoch == EPOCHS && nfull(wire[w]) -> /* only to say so */
		wire[w]!EPOCHS, 0, 0, 0 }
	od
}

proctype gets(byte w) {
	byte e, st, c1, c2;
	bit tampered;
end:
	do
	:: over -> break
	:: atomic {
		nempty(wire[1-w]) ->
		if
		:: wire[1-w]?e, st, c1, c2
#ifndef LIVE
		:: wire[1-w]?<e, st, c1, c2>             /* it will come again */
#endif
		fi;
		if
		:: skip
#ifdef TAMPER
		/* somebody changes chunks, and not the epoch */
		:: faults < TAMPER && c1 != 0 -> faults++; tampered = 1; c1 = 14
		:: faults < TAMPER && c2 != 0 -> faults++; tampered = 1; c2 = 14
#endif
		fi;
		receive(w);
		e = 0; st = 0; c1 = 0; c2 = 0; tampered = 0
	   }
#ifndef LIVE
	:: atomic { nempty(wire[1-w]) -> wire[1-w]?e, st, c1, c2; e = 0; st = 0; c1 = 0; c2 = 0 }                      /* lost */
	:: atomic { len(wire[1-w]) == 2 -> wire[1-w]?e, st, c1, c2; wire[1-w]!e, st, c1, c2; e = 0; st = 0; c1 = 0; c2 = 0 } /* overtaken */
#endif
	od
}

init {
	atomic {
		begin(0, 1); begin(1, 1);
		run sends(0); run sends(1); run gets(0); run gets(1)
	}
}

#ifdef LIVE
ltl ends { <> over }
#endif
