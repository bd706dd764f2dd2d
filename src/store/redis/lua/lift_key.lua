-- Gives a key its new name, the keyed hash of a code.
-- KEYS key under the old name, under the new one
-- Returns whether it was there.
return move(KEYS[1], KEYS[2])
