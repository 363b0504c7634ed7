-- A signature of the coordinator's over an attempt's job, in hexadecimal digits: what somebody else wrote there is not gone on
-- with. Nothing in rows of before.

ALTER TABLE attempts ADD COLUMN seal TEXT;
