// Package plot draws a report of the laboratory as one HTML file: which message
// falls under which theft, who wrote what to whom, how the ratchets turned, and
// the verdicts as a table. It implements spec/lab.md, "Drawings".
//
// The file is complete in itself: SVG written here, no script, nothing fetched,
// and a content security policy that forbids both. Everything drawn is also
// said in words. HTML is the one function.
//
// Not its concern: playing and judging, which package lab does, and where the
// file goes.
package plot
