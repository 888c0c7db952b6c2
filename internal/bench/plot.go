package main

import (
	"fmt"
	"html"
	"math"
	"strings"
)

const (
	width, height = 640, 360
	left, bottom  = 60, 40
	top, right    = 40, 20
)

var colours = []string{"#2563eb", "#dc2626", "#059669", "#7c3aed"}

// plot draws a figure over the number of consoles, both on logarithmic scales: what grows linearly is a straight line.
func plot(title string, all map[int]outcomes, figure func(result) float64) string {
	least, most := math.Inf(1), 0.0
	for _, n := range sizes {
		for _, name := range inGrowth {
			v, _ := all[n].of(name, figure)
			least, most = min(least, max(v, 0.001)), max(most, v)
		}
	}
	low, high := math.Floor(math.Log10(least)), math.Ceil(math.Log10(max(most, least*1.01)))
	x := func(n int) float64 {
		return left + (width-left-right)*math.Log10(float64(n))/math.Log10(float64(sizes[len(sizes)-1]))
	}
	y := func(v float64) float64 {
		return height - bottom - (height-top-bottom)*(math.Log10(max(v, 0.001))-low)/(high-low)
	}
	var b strings.Builder
	begin(&b, title, height)
	for _, n := range sizes {
		fmt.Fprintf(&b, `<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#ddd"/><text x="%.1f" y="%d" text-anchor="middle">%d</text>`+"\n",
			x(n), top, x(n), height-bottom, x(n), height-bottom+16, n)
	}
	for e := low; e <= high; e++ {
		v := math.Pow(10, e)
		fmt.Fprintf(&b, `<line x1="%d" y1="%.1f" x2="%d" y2="%.1f" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%g</text>`+"\n",
			left, y(v), width-right, y(v), left-6, y(v)+4, v)
	}
	for i, name := range inGrowth {
		var points []string
		for _, n := range sizes {
			v, _ := all[n].of(name, figure)
			points = append(points, fmt.Sprintf("%.1f,%.1f", x(n), y(v)))
			fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`+"\n", x(n), y(v), colours[i])
		}
		fmt.Fprintf(&b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(points, " "), colours[i])
		fmt.Fprintf(&b, `<text x="%d" y="%d" fill="%s">%s</text>`+"\n", left+10, top+16+16*i, colours[i], html.EscapeString(name))
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// bars draws a figure of each contestant of a flood.
func bars(title string, o outcomes, figure func(result) float64) string {
	const row, label = 24, 210
	most := 0.0
	for _, name := range inFlood {
		v, _ := o.of(name, figure)
		most = max(most, v)
	}
	var b strings.Builder
	begin(&b, title, top+row*len(inFlood)+10)
	for i, name := range inFlood {
		v, _ := o.of(name, figure)
		colour := "#94a3b8"
		if name == "pterosocket" || name == "pterosocket/gobwas" {
			colour = colours[0]
		}
		y := top + row*i
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text><rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/><text x="%.1f" y="%d">%.0f</text>`+"\n",
			label-8, y+14, html.EscapeString(name), label, y+2, (width-label-70)*v/most, row-8, colour, label+(width-label-70)*v/most+6, y+14, v)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func begin(b *strings.Builder, title string, height int) {
	fmt.Fprintf(b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">`+"\n", width, height)
	fmt.Fprintf(b, `<rect width="100%%" height="100%%" fill="white"/><text x="%d" y="22" text-anchor="middle" font-size="15">%s</text>`+"\n", width/2, html.EscapeString(title))
}
