"""Pure decisions: a snapshot of one Model and the time go in, a Plan comes out. No IO, clock, client or logging."""
