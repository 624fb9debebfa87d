package cli

import (
	"strings"

	"rsc.io/qr"
)

// qrText draws a QR code with half blocks, two modules a character, with the
// quiet zone that scanners want. Light modules are drawn, dark ones are left
// to the background; with colour both are set, so that it also scans on a
// light terminal. Text that makes no code gives nothing.
func qrText(text string, k ink) string {
	code, err := qr.Encode(text, qr.L)
	if text == "" || err != nil {
		return ""
	}
	const quiet = 2
	light := func(x, y int) bool { return !code.Black(x, y) } // outside the code is light
	var b strings.Builder
	for y := -quiet; y < code.Size+quiet; y += 2 {
		line := ""
		for x := -quiet; x < code.Size+quiet; x++ {
			switch top, bottom := light(x, y), light(x, y+1) && y+1 < code.Size+quiet; {
			case top && bottom:
				line += "█"
			case top:
				line += "▀"
			case bottom:
				line += "▄"
			default:
				line += " "
			}
		}
		b.WriteString("    " + k.wrap("97;40", line) + "\n")
	}
	return b.String()
}
