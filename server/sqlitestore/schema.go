package sqlitestore

// applicationID marks the file as a pawl server's store ("pawl" in ASCII).
const applicationID = 0x7061776c

// schemaVersion is kept in PRAGMA user_version; a newer one is refused
// (R-STO-20).
const schemaVersion = 3

// schema of this version. Times are Unix milliseconds. Every column sum is the
// CRC-32C of the row's lasting content (sum.go), since SQLite itself does not
// notice a flipped bit inside a value.
//
// message holds waiting messages and, with body NULL, the ids of those that
// were acknowledged or expired but must still be known; due is when the row
// goes. message_pending serves reading in order (its hidden last column is
// seq); message_due grows at its end, so it costs little.
const schema = `
CREATE TABLE meta (
  k TEXT PRIMARY KEY,
  v INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO meta VALUES ('generation', 1), ('reserved', 0);

CREATE TABLE account (
  user TEXT PRIMARY KEY,
  version INTEGER NOT NULL,
  record BLOB NOT NULL,
  sum INTEGER NOT NULL
);

CREATE TABLE invite (
  hash BLOB PRIMARY KEY,
  expires INTEGER NOT NULL,
  uses INTEGER NOT NULL,
  sum INTEGER NOT NULL
);

CREATE TABLE device (
  num INTEGER PRIMARY KEY,
  user TEXT NOT NULL,
  id INTEGER NOT NULL,
  removed INTEGER NOT NULL DEFAULT 0,
  UNIQUE (user, id)
);

CREATE TABLE onetime (
  dev INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  id INTEGER NOT NULL,
  public BLOB NOT NULL,
  sum INTEGER NOT NULL,
  PRIMARY KEY (dev, kind, id)
) WITHOUT ROWID;

CREATE TABLE upload (
  n INTEGER PRIMARY KEY AUTOINCREMENT,
  dev INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  batch BLOB NOT NULL,
  UNIQUE (dev, kind, batch)
);

CREATE TABLE message (
  seq INTEGER PRIMARY KEY,
  dev INTEGER NOT NULL,
  id BLOB NOT NULL,
  at INTEGER NOT NULL,
  due INTEGER NOT NULL,
  sum INTEGER NOT NULL,
  body BLOB
);
CREATE UNIQUE INDEX message_id ON message (dev, id);
CREATE INDEX message_pending ON message (dev) WHERE body IS NOT NULL;
CREATE INDEX message_due ON message (due);
` + schemaEpoch + schemaGroups

// schemaEpoch is what version 2 added. An epoch has a row of its own because it
// is written at every login and the rest of a device's row hardly ever.
const schemaEpoch = `
CREATE TABLE epoch (
  dev INTEGER PRIMARY KEY,
  value BLOB NOT NULL,
  sum INTEGER NOT NULL
);
`

// schemaGroups is what version 3 added: the end of each group's log, the entries,
// and for each epoch its token's hash and the entries placed under it; last is
// zero while the epoch is the present one.
const schemaGroups = `
CREATE TABLE grouplog (
  num INTEGER PRIMARY KEY,
  id BLOB NOT NULL UNIQUE,
  seq INTEGER NOT NULL,
  head BLOB NOT NULL,
  sum INTEGER NOT NULL
);

CREATE TABLE groupepoch (
  grp INTEGER NOT NULL,
  token BLOB NOT NULL,
  first INTEGER NOT NULL,
  last INTEGER NOT NULL DEFAULT 0,
  sum INTEGER NOT NULL,
  PRIMARY KEY (grp, token)
) WITHOUT ROWID;

CREATE TABLE groupentry (
  grp INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  prev BLOB NOT NULL,
  head BLOB NOT NULL,
  blob BLOB NOT NULL,
  sum INTEGER NOT NULL,
  UNIQUE (grp, seq)
);
`

// Statements of the writer.
const (
	sqlBegin    = `BEGIN IMMEDIATE`
	sqlCommit   = `COMMIT`
	sqlRollback = `ROLLBACK`

	sqlReserve     = `UPDATE meta SET v = ?1 WHERE k = 'reserved'`
	sqlMeta        = `SELECT v FROM meta WHERE k = ?1`
	sqlGeneration  = `UPDATE meta SET v = v + 1 WHERE k = 'generation'`
	sqlFindDevice  = `SELECT num, removed FROM device WHERE user = ?1 AND id = ?2`
	sqlAddDevice   = `INSERT INTO device (num, user, id) VALUES (?1, ?2, ?3)`
	sqlLast        = `SELECT (SELECT coalesce(max(num), 0) FROM device), (SELECT coalesce(max(seq), 0) FROM message)`
	sqlLoad        = `SELECT count(*), coalesce(sum(length(body)), 0) FROM message WHERE dev = ?1 AND body IS NOT NULL`
	sqlAppend      = `INSERT INTO message (seq, dev, id, at, due, sum, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (dev, id) DO NOTHING`
	sqlSeqOf       = `SELECT seq FROM message WHERE dev = ?1 AND id = ?2`
	sqlAck         = `UPDATE message SET body = NULL, due = at + ?3 WHERE seq = ?1 AND dev = ?2 AND body IS NOT NULL`
	sqlDue         = `SELECT seq, dev, at, body IS NOT NULL FROM message WHERE due <= ?1 ORDER BY due LIMIT ?2`
	sqlDelete      = `DELETE FROM message WHERE seq = ?1`
	sqlRemove      = `UPDATE device SET removed = 1 WHERE num = ?1`
	sqlDeleteAll   = `DELETE FROM message WHERE dev = ?1`
	sqlAccountOf   = `SELECT version, record, sum FROM account WHERE user = ?1`
	sqlHasAccount  = `SELECT 1 FROM account WHERE user = ?1`
	sqlAddAccount  = `INSERT INTO account (user, version, record, sum) VALUES (?1, 1, ?2, ?3)`
	sqlSetAccount  = `UPDATE account SET version = ?2, record = ?3, sum = ?4 WHERE user = ?1`
	sqlInviteOf    = `SELECT expires, uses, sum FROM invite WHERE hash = ?1`
	sqlUseInvite   = `UPDATE invite SET uses = ?2, sum = ?3 WHERE hash = ?1`
	sqlPutInvite   = `INSERT INTO invite (hash, expires, uses, sum) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (hash) DO UPDATE SET expires = excluded.expires, uses = excluded.uses, sum = excluded.sum`
	sqlDropInvites = `DELETE FROM invite WHERE expires <= ?1`
	sqlAddUpload   = `INSERT INTO upload (dev, kind, batch) VALUES (?1, ?2, ?3) ON CONFLICT (dev, kind, batch) DO NOTHING`
	sqlTrimUploads = `DELETE FROM upload WHERE dev = ?1 AND kind = ?2 AND n <= (SELECT n FROM upload WHERE dev = ?1 AND kind = ?2 ORDER BY n DESC LIMIT 1 OFFSET ?3)`
	sqlDropOneTime = `DELETE FROM onetime WHERE dev = ?1 AND kind = ?2`
	sqlAddOneTime  = `INSERT INTO onetime (dev, kind, id, public, sum) VALUES (?1, ?2, ?3, ?4, ?5)`
	sqlTake        = `DELETE FROM onetime WHERE dev = ?1 AND kind = ?2 AND id = (SELECT id FROM onetime WHERE dev = ?1 AND kind = ?2 LIMIT 1) RETURNING id, public, sum`
	sqlVoid        = `DELETE FROM onetime`
	sqlEpochOf     = `SELECT value, sum FROM epoch WHERE dev = ?1`
	sqlSetEpoch    = `INSERT INTO epoch (dev, value, sum) VALUES (?1, ?2, ?3) ON CONFLICT (dev) DO UPDATE SET value = excluded.value, sum = excluded.sum`
	sqlDropEpoch   = `DELETE FROM epoch WHERE dev = ?1`
	sqlVoidEpochs  = `DELETE FROM epoch`

	sqlGroup         = `SELECT num FROM grouplog WHERE id = ?1`
	sqlAddGroup      = `INSERT INTO grouplog (id, seq, head, sum) VALUES (?1, 1, ?2, ?3) RETURNING num`
	sqlSetGroup      = `UPDATE grouplog SET seq = ?2, head = ?3, sum = ?4 WHERE num = ?1`
	sqlAddGroupEpoch = `INSERT INTO groupepoch (grp, token, first, sum) VALUES (?1, ?2, ?3, ?4)`
	sqlEndGroupEpoch = `UPDATE groupepoch SET last = ?3, sum = ?4 WHERE grp = ?1 AND token = ?2`
	sqlAddGroupEntry = `INSERT INTO groupentry (grp, seq, prev, head, blob, sum) VALUES (?1, ?2, ?3, ?4, ?5, ?6)`
	sqlGroupEntry    = `SELECT seq, prev, head, blob, sum FROM groupentry WHERE grp = ?1 AND seq = ?2`
)

// sqlGroupView serves both sides.
const sqlGroupView = `SELECT g.num, g.seq, g.head, g.sum, e.first, e.last, e.sum, x.head, e.token
 FROM grouplog g JOIN groupepoch e ON e.grp = g.num AND e.token = ?2
 LEFT JOIN groupentry x ON x.grp = g.num AND x.seq = e.last WHERE g.id = ?1`

// Statements of the readers.
const (
	sqlRead = `SELECT seq, dev, id, at, sum, body FROM message
 WHERE dev = (SELECT num FROM device WHERE user = ?1 AND id = ?2) AND body IS NOT NULL AND seq > ?3 ORDER BY seq LIMIT ?4`
	sqlStat = `SELECT count(*), coalesce(sum(length(body)), 0), min(at) FROM message
 WHERE dev = (SELECT num FROM device WHERE user = ?1 AND id = ?2) AND body IS NOT NULL`
	sqlGroupEntries = `SELECT seq, prev, head, blob, sum FROM groupentry WHERE grp = ?1 AND seq >= ?2 AND seq <= ?3 ORDER BY seq LIMIT ?4`

	sqlCount = `SELECT kind, count(*) FROM onetime WHERE dev = (SELECT num FROM device WHERE user = ?1 AND id = ?2) GROUP BY kind`
)
