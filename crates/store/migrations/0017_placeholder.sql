-- Keeps the place of a migration that is made elsewhere, until both are in one tree.
SELECT 1;
