// What every page does beside what it is made of.
import "./keys";
import "./rows";
import "./live";
import "./thumbs";
