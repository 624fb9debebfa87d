// Package conform holds test vectors, pawl's own or another implementation's,
// against the code that people run: what a vector says is opened is opened, what
// it says is refused is refused with that error, and values that the code
// derives from the inputs are the vector's (spec/lab.md, "Vectors"). Check is
// what to use first.
//
// It has no keys and derivations of its own and calls what the packages export.
// What they keep inside, such as sealing with given randomness, it cannot check
// and says so; the packages' own tests do that.
//
// Not its concern: where the files come from, and how the result is told.
package conform
