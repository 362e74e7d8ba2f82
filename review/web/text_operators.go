package web

// operatorsText is the catalogue of these pages. Every key begins with "operators.".
var operatorsText = catalogue{}
