//go:build !race

package client

// fewScenarios are run unless the command line says otherwise.
const fewScenarios = 40

// fewGroupScenarios are run of those about a group.
const fewGroupScenarios = 12
