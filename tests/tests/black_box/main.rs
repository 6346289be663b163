//! The black-box tests, in one program so that it is linked once. What they share is the fixture in `src/`.

mod story;

mod choices;
mod grace;
mod sessions;
mod silence;
