"""Captures: pcap and pcapng files through the same datapath as live packets."""
