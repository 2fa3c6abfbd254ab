class demo::wep { }
