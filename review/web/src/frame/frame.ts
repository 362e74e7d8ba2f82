// What every page does beside what it is made of: keys.
import "./keys";
