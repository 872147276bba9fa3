collect_ignore = ["inside"]  # for the machine that `./run vm` starts
