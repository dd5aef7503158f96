-- Names for versions of a plugin beside the current one, as a JSON object of digests; and the roll-out
-- of a version that is under way, with the last one that was taken back, as JSON.
ALTER TABLE plugins ADD COLUMN tags TEXT NOT NULL DEFAULT '{}';
ALTER TABLE plugins ADD COLUMN rollouts TEXT NOT NULL DEFAULT '{}';
