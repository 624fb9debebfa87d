package cli

import (
	"context"

	"github.com/pawl-chat/pawl/client"
)

// engine wires the commands to the packages that do the work.
func engine() Engine {
	return Engine{
		Register: func(context.Context, client.Config, client.RegisterRequest) (client.API, error) {
			return nil, errUnready
		},
		Open:  func(context.Context, client.Config) (client.API, error) { return nil, errUnready },
		Serve: func(ServeConfig) (Server, error) { return nil, errUnready },
	}
}
