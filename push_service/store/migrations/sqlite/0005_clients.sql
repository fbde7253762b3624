-- For which clients without a second step an application may ask. The previous program writes none: any.
ALTER TABLE applications ADD COLUMN clients TEXT NOT NULL DEFAULT 'any';
