"""The packs beside their peers: ConText, NegEx, Presidio, Philter and quantulum3 on public sets, scored in one run by one measure."""
