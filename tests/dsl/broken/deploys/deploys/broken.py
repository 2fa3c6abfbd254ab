def install(:
