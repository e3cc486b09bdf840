startFigures();
startReplies();
