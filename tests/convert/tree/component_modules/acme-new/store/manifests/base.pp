class store::base { }
