-- Targets that are read around the ends of what they belong to: a JSON list of moments; NULL = read ever again.
ALTER TABLE targets ADD COLUMN ends TEXT;

-- The last start of a webinar, POSIX seconds.
ALTER TABLE targets ADD COLUMN starts_at REAL;

-- What was there at the first complete poll is the baseline of a connection's list.
ALTER TABLE targets ADD COLUMN began_at REAL;

-- Records known from before have to bring along what they did not bring then: every list is read once more.
UPDATE targets SET digest = x'' WHERE scope IN (SELECT id FROM scopes WHERE parent = '');
