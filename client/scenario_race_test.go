//go:build race

package client

// fewScenarios are run unless the command line says otherwise: under the race
// detector each takes seconds.
const fewScenarios = 3

// fewGroupScenarios are run of those about a group.
const fewGroupScenarios = 2
