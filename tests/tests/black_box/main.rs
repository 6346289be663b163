//! The black-box tests, in one program so that it is linked once. What they share is the fixture in `src/`.

mod story;

mod callers;
mod choices;
mod delivery;
mod grace;
mod reports;
mod sessions;
mod silence;
mod tokens;
