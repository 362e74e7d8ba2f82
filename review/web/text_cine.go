package web

// cineText is the catalogue of these pages. Every key begins with "cine.".
var cineText = catalogue{}
