package client

import "context"

// This file is to be deleted at the merge with the linking of devices.

// ParseLink reads the link of a waiting device.
func ParseLink(string) (LinkOffer, error) { return LinkOffer{}, ErrLinkInvalid }

// Link makes this home a device of an account.
func Link(context.Context, Config, LinkRequest) (API, error) { return nil, ErrRefused }

// Relink makes a new device of a home that was rolled back.
func Relink(context.Context, Config, LinkRequest) (API, error) { return nil, ErrRefused }
