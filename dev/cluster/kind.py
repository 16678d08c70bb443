def possible(): return False
def exists(): return False
