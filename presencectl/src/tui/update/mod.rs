//! What happens: one message in, the model changed, effects out.
