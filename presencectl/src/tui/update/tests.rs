//! Messages in, effects and a changed model out.
