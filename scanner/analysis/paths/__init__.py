"""What follows from several analyses together: who reaches what, and through what."""
