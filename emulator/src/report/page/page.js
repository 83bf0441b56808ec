tell(document.querySelector(".lanes"), document.querySelector("#words dl"));
