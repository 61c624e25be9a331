"""The inbox: commands are consumed, decided on and acknowledged; open commands are taken up."""
