package lab

// What a scenario file can make a run cost, and a trace its judges (R-LAB-26; spec/limits.md).
const (
	// MaxScenario is the longest scenario file in bytes.
	MaxScenario = 1 << 20
	// MaxPeople is how many people a scenario has.
	MaxPeople = 16
	// MaxSteps is how many steps it has.
	MaxSteps = 10_000
	// MaxMessages is how many messages are written in it.
	MaxMessages = 20_000
	// MaxLetters is how many sealed copies leave in it.
	MaxLetters = 500_000
	// MaxThefts is how many compromises it has.
	MaxThefts = 200
	// MaxHours is how much time passes in it.
	MaxHours = 24 * 366
	// MaxTrace is the longest trace in bytes.
	MaxTrace = 256 << 20
	// MaxPremises is how many values another is made from.
	MaxPremises = 16
	// MaxItem is the longest item of a trace in bytes.
	MaxItem = 2 << 20
)
