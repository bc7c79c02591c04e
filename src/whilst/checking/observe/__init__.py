"""What the inserted hooks see: which object an instruction or a C function is about to touch."""
