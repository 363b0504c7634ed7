-- The number of another branch's migration: that one takes the place of this file.
SELECT 1;
