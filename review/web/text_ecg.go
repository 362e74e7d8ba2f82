package web

// ecgText is the catalogue of these pages. Every key begins with "ecg.".
var ecgText = catalogue{}
