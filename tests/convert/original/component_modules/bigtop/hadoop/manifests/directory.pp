define hadoop::directory($owner) { }
