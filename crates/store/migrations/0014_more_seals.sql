-- Signatures of the coordinator's as in `attempts`: over who has a machine, and who is to have one. Nothing in rows of before.

ALTER TABLE gomotes ADD COLUMN seal TEXT;
ALTER TABLE wanted_holds ADD COLUMN seal TEXT;
