// Command pawl is a forward-secret messenger: client and server in one program.
package main

import (
	"os"

	"github.com/pawl-chat/pawl/cli"
)

func main() { os.Exit(cli.Main(os.Args[1:])) }
