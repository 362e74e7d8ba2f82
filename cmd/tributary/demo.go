package main

import "context"

type demoCmd struct{}

func (demoCmd) Run(context.Context) error { return nil }
